"""The knowledge base for those who review its content: a table, and a page a language to read and write on."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from pathlib import Path

from bot import i18n
from bot.assistant import knowledge
from bot.messages import LANGUAGES, Language

_STYLE = """
body { font: 17px/1.6 system-ui, "Noto Naskh Arabic", sans-serif; max-width: 48rem; margin: 2rem auto;
  padding: 0 1rem; }
article { border-top: 1px solid #bbb; padding: 1rem 0 3rem; break-inside: avoid; }
.fact { color: #14532d } .advice { color: #7c2d12 } .gap { color: #1e3a8a }
pre { font: inherit; white-space: pre-wrap; background: #f4f4f2; padding: .8rem 1rem; border-radius: .6rem; }
small { color: #555 }
"""


def table() -> Iterator[str]:
    """One line a topic: id, status, year, sources, its question in English."""
    for topic in knowledge.topics().values():
        documents = ",".join(dict.fromkeys(source["document"] for source in topic.sources))
        year = str(topic.year) if topic.year else "-"
        yield f"{topic.id:28} {topic.status:7} {year:5} {documents:52} {knowledge.question(topic.id, 'en')}"


def page(language: Language) -> str:
    """Every answer as people see it, with its sources and room for remarks, as one HTML page."""
    articles = []
    for topic in knowledge.topics().values():
        sources = "; ".join(
            f"{source['document']}: {source['section']}"
            + (f", {source['lines'][0]}–{source['lines'][-1]}" if source.get("lines") else "")
            for source in topic.sources
        )
        see_also = ", ".join(knowledge.title(other, language) for other in topic.see_also)
        articles.append(
            f"<article id={topic.id}><h2>{escape(knowledge.question(topic.id, language))}</h2>"
            f"<p><b class={topic.status}>{topic.status}</b> <code dir=ltr>{topic.id}</code> · "
            f"{escape(knowledge.title(topic.id, language))}</p>"
            f"<pre>{escape(knowledge.answer(topic.id, language))}</pre>"
            f"<small dir=ltr>{escape(sources)}</small><p><small>→ {escape(see_also)}</small></p></article>"
        )
    direction = "rtl" if language == "ar" else "ltr"
    return (
        f"<!doctype html><html lang={language} dir={direction}><meta charset=utf-8>"
        f'<meta name=viewport content="width=device-width"><title>Rafiq · {i18n.say("language.own_name", language)}'
        f"</title><style>{_STYLE}</style><h1>Rafiq · {len(articles)}</h1>{''.join(articles)}</html>"
    )


def write_pages(folder: Path) -> list[Path]:
    """Write the page of each language into the folder; their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for language in LANGUAGES:
        path = folder / f"topics-{language}.html"
        path.write_text(page(language), encoding="utf-8")
        written.append(path)
    return written
