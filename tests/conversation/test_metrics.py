"""What Prometheus reads: nothing personal, few labels, not for everybody; the example board asks for what there is."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr
from sqlalchemy.exc import OperationalError
from starlette.requests import Request
from structlog.testing import capture_logs

from bot import metrics, web
from bot.cases.delivery import CaseDelivery, Event, Failure
from bot.channels import body
from bot.conversation import overview
from bot.conversation.delivery import Delivery
from bot.db.session import Database
from bot.messages import Refused
from bot.settings import ROOT, Settings
from bot.training import Models
from bot.web import Service
from tests.conversation.conftest import typed, until
from tests.conversation.letters import change, queue, writes
from tests.journeys.test_whatsapp_journey import on_whatsapp
from tests.simulators.channel import FakeChannel
from tests.simulators.rasa import FakeRasa

TOKEN = "a-token-of-sixteen"


def counted(name: str, **labels: str) -> float:
    """The number now."""
    return metrics.REGISTRY.get_sample_value(name, labels) or 0.0


async def test_turns_and_their_time(worker: tuple[Service, FakeRasa], database: Database) -> None:
    """A turn that ends well is counted with its channel and timed; one for which Rasa fails is counted as that."""
    service, fake = worker

    async def more(before: float, outcome: str) -> bool:
        return counted("rafiq_turns_total", channel="web", outcome=outcome) > before

    done, down = (counted("rafiq_turns_total", channel="web", outcome=one) for one in ("done", "rasa_down"))
    timed = counted("rafiq_turn_seconds_count", channel="web")
    await service.accept([typed("bonjour")])
    await until(lambda: more(done, "done"))
    assert counted("rafiq_turn_seconds_count", channel="web") == timed + 1
    fake.behave = fake.fail
    await service.accept([typed("bonjour", "p2")])
    await until(lambda: more(down, "rasa_down"))
    assert metrics.channel("somebody's own") == "other"


async def test_deliveries_and_case_posts_by_outcome(database: Database) -> None:
    """What the platform took, what it refused; what the case backend took, and what it did not."""
    channel = FakeChannel()
    conversation = await writes(database)
    sent, refused = (counted("rafiq_deliveries_total", channel="other", outcome=one) for one in ("sent", "refused"))
    await queue(database, conversation)
    await Delivery(database, {"fake": channel}).work(conversation)
    channel.answers = [Refused("no")]
    await queue(database, conversation)
    await Delivery(database, {"fake": channel}).work(conversation)
    assert counted("rafiq_deliveries_total", channel="other", outcome="sent") == sent + 1
    assert counted("rafiq_deliveries_total", channel="other", outcome="refused") == refused + 1

    class Backend:
        url, newest_only = "http://127.0.0.1/", False

        def __init__(self) -> None:
            self.answers = [None, Failure("HTTP 500"), Failure("HTTP 410", gone=True)]

        async def post(self, client: httpx.AsyncClient, event: Event, overtaken: bool = False) -> Failure | None:
            return self.answers.pop(0)

    before = [counted("rafiq_case_posts_total", outcome=one) for one in ("delivered", "failed", "gone")]
    for number in range(3):
        await change(
            database,
            "INSERT INTO case_event (key, type, payload) VALUES (:key, 'request.created', '{\"data\": {}}')",
            key=f"k{number}",
        )
    cases = CaseDelivery(database, Backend())
    await cases.work()
    await cases.close()
    after = [counted("rafiq_case_posts_total", outcome=one) for one in ("delivered", "failed", "gone")]
    assert after == [number + 1 for number in before]


async def test_the_state_of_the_queues(database: Database) -> None:
    """Depths and ages of what waits, and handoffs past the promise; every number is there also when it is none."""

    async def told() -> dict[tuple[str, ...], float]:
        return {(one.name, *one.labels): one.value for one in await overview.state(database)}

    assert set((await told()).values()) == {0.0} and {name for name, *_ in await told()} == set(metrics.STATE)
    conversation = await writes(database)
    await change(database, "UPDATE inbox SET status = 'pending', received_at = now() - interval '90 seconds'")
    for columns in ({"status": "queued", "unasked": True}, {"status": "held"}, {"status": "failed"}):
        await queue(database, conversation, **columns)
    await change(database, "UPDATE outbox SET created_at = now() - interval '1 hour'")
    for status in ("queued", "dead"):
        await change(
            database,
            "INSERT INTO case_event (key, type, payload, status) VALUES (:s, 'request.created', '{}', :s)",
            s=status,
        )
    for reference, due in (("H-AAAAA", "-1 hour"), ("H-BBBBB", "1 hour")):
        await change(
            database,
            "INSERT INTO handoff (reference, person_id, conversation_id, reason, priority, due_at)"
            " SELECT :r, person_id, id, :r, 'P1', now() + cast(:due AS interval) FROM conversation",
            r=reference, due=due,
        )  # fmt: skip
    now = await told()
    assert now["rafiq_inbox_waiting",] == 1 and 90 <= now["rafiq_inbox_oldest_seconds",] < 3600
    assert now["rafiq_outbox_waiting", "unasked"] == 1 and now["rafiq_outbox_waiting", "reply"] == 0
    assert 3600 <= now["rafiq_outbox_oldest_seconds", "unasked"] < 7200
    assert (now["rafiq_outbox_held",], now["rafiq_outbox_failed",], now["rafiq_case_events_dead",]) == (1, 1, 1)
    assert (now["rafiq_handoffs_waiting", "P1"], now["rafiq_handoffs_late", "P1"]) == (2, 1)


@pytest.mark.parametrize(
    ("given", "client", "headers", "status"),
    [
        ({}, "127.0.0.1", {}, 200),
        ({}, "10.0.0.5", {}, 404),
        ({}, "127.0.0.1", {"host": "rafiq.example.org"}, 404),
        ({}, "127.0.0.1", {"x-forwarded-for": "1.2.3.4"}, 404),
        ({"rafiq_public_url": "https://rafiq.example.org"}, "127.0.0.1", {}, 404),
        ({"rafiq_metrics_token": TOKEN}, "127.0.0.1", {}, 404),
        ({"rafiq_metrics_token": TOKEN}, "10.0.0.5", {"authorization": "Bearer other"}, 404),
        ({"rafiq_metrics_token": TOKEN}, "10.0.0.5", {"authorization": f"Bearer {TOKEN}"}, 200),
    ],
)
def test_not_everybody_may_measure(
    settings: Settings, given: dict[str, str], client: str, headers: dict[str, str], status: int
) -> None:
    """This machine alone, and not through a proxy; from elsewhere with the token."""
    configured = settings.model_copy(
        update={name: SecretStr(one) if "token" in name else one for name, one in given.items()}
    )
    sent = {"host": "127.0.0.1:8080", **headers}
    scope = {
        "type": "http", "client": (client, 1), "headers": [(k.encode(), v.encode()) for k, v in sent.items()],
    }  # fmt: skip
    assert web.may_measure(Request(scope), configured) == (status == 200)


@pytest.mark.parametrize(("door", "path"), [("whatsapp", "/whatsapp/webhook"), ("cases", "/cases/answers")])
async def test_forged_requests_are_counted_and_said_once_a_minute(
    own_url: str, models: Models, settings: Settings, monkeypatch: pytest.MonkeyPatch, door: str, path: str
) -> None:
    """Whoever tries a thousand signatures does not fill the log; the next line says how many there were."""
    given = {"case_webhook_secrets": [SecretStr("whsec_" + "a" * 40)], **on_whatsapp("http://127.0.0.1:9")}
    app = web.create_app(settings.model_copy(update=given), own_url)
    monkeypatch.setattr(body, "_forged", {})
    before = counted("rafiq_forged_requests_total", door=door)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
        with capture_logs() as lines:
            for _ in range(30):
                assert (await client.post(path, content=b'{"canary": 1}')).status_code == 401
            last, since = body._forged[door]
            monkeypatch.setitem(body._forged, door, (last - body.FORGED_AGAIN, since))
            await client.post(path, content=b'{"canary": 1}')
    assert counted("rafiq_forged_requests_total", door=door) == before + 31
    said = [line for line in lines if "not signed" in line["event"]]
    assert [line.get("unsaid") for line in said] == [None, 29]
    assert {line["door"] for line in said} == {door} and "canary" not in str(lines)
    await app.state.service.stop()


async def test_what_is_told(
    database: Database, own_url: str, models: Models, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few numbers and nothing of anybody; with the database down, what the process counted itself, and that it is."""
    await writes(database, "awa", words="je m'appelle Awa")
    app = web.create_app(settings, own_url)

    async def get(client: str) -> httpx.Response:
        transport = httpx.ASGITransport(app, client=(client, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as browser:
            return await browser.get("/metrics")

    assert (await get("10.0.0.5")).status_code == 404
    told = (await get("127.0.0.1")).text
    families = list(text_string_to_metric_families(told))
    samples = [sample for family in families for sample in family.samples]
    assert {sample.labels.get("channel", "web") for sample in samples} <= {*metrics.CHANNELS, "other"}
    assert "awa" not in told.lower() and len(samples) < 300
    assert {"rafiq_database_up", "rafiq_rasa_up", *metrics.STATE} <= {sample.name for sample in samples}

    async def down(database: Database) -> Any:
        raise OperationalError("", {}, Exception())

    monkeypatch.setattr(overview, "state", down)
    told = (await get("127.0.0.1")).text
    assert "rafiq_database_up 0.0" in told and "rafiq_inbox_waiting" not in told
    await app.state.service.stop()


def test_every_metric_of_the_example_board_exists() -> None:
    """The board and the scrape example of deploy/ name what is there."""
    board: dict[str, Any] = json.loads((ROOT / "deploy" / "grafana.json").read_text(encoding="utf-8"))
    asked = {
        name
        for panel in board["panels"]
        for target in panel["targets"]
        for name in re.findall(r"rafiq_\w+", target["expr"])
    }
    there = {"rafiq_rasa_up", "rafiq_database_up", *metrics.STATE, "rafiq_turn_seconds_bucket"}
    there |= {f"rafiq_{name}_total" for name in ("turns", "deliveries", "case_posts")}
    assert asked == there
    labels = {label for words, names in metrics.STATE.values() for label in names} | {"channel", "outcome", "le"}
    for panel in board["panels"]:
        for target in panel["targets"]:
            for by in re.findall(r"by \(([^)]*)\)", target["expr"]):
                assert set(by.split(", ")) <= labels
    [job] = yaml.safe_load((ROOT / "deploy" / "prometheus.yml").read_text(encoding="utf-8"))["scrape_configs"]
    assert job["metrics_path"] == "/metrics" and job["static_configs"][0]["targets"] == ["127.0.0.1:8080"]
