# The project's commands. `make run` and `make test` set up what they need.
.PHONY: run test journeys check setup setup-dev train evaluate lock texts check-tensorflow bench bench-console chaos mass year

run: setup
	@.venv/bin/rafiq run

test: setup-dev
	@.venv/bin/rafiq train --missing
	@rm -rf var/pictures && mkdir -p var/pictures
	CONSOLE_PICTURES="$(CURDIR)/var/pictures" .venv/bin/python -m pytest -n 2 --dist loadfile

# a year with each of five speakers on each channel; `make test` has one channel for each
journeys: setup-dev
	@.venv/bin/rafiq train --missing
	EVERY_JOURNEY=1 .venv/bin/python -m pytest tests/journeys/test_year.py

check: setup-dev
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/python -m bot.texts

setup:
	@scripts/setup

setup-dev:
	@scripts/setup --dev

train: setup
	.venv/bin/rafiq train

# with TensorFlow installed (a gigabyte more) the predictions must be the same
check-tensorflow: setup
	@scripts/check-tensorflow

# how well messages that were never trained on are understood: prints and writes docs/understanding.md
evaluate: setup-dev
	.venv/bin/python -m tests.understanding.evaluation

bench: setup-dev
	.venv/bin/python -m benchmarks.turn

# a full team in the console: prints a table and writes it into docs/console.md
bench-console: setup-dev
	.venv/bin/python -m benchmarks.console --write

# kill -9 at each named point, 20 times each, and the oracles: the table of docs/reliability.md
chaos: setup-dev
	.venv/bin/python -m tests.reliability.chaos --kills 20

# a day of check-ins among up to 100,000 enrolled people: writes docs/scale.md
year: setup-dev
	.venv/bin/python -m benchmarks.year

# 5,000 check-ins at once while people write: on a machine that does nothing else
mass: setup-dev
	.venv/bin/python -m tests.reliability.mass --write

# new versions of what we depend on, as far as requirements/*.in allow
lock: setup
	cd requirements && for name in uv service dev; do \
	  ../.tools/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url $$name.in -o $$name.txt; done
	cd requirements && ../.tools/uv pip compile --quiet --universal --python-version 3.10 --generate-hashes --no-header --no-emit-index-url --override rasa-without-tensorflow.txt rasa.in -o rasa.txt
	cd requirements && ../.tools/uv pip compile --quiet --universal --python-version 3.10 --generate-hashes --no-header --no-emit-index-url --override ../benchmarks/turn/rasa-stock-override.txt rasa-stock.in -o rasa-stock.txt
