"""Readers of values: each takes what a person typed and returns one value, or says that it found none.

They are pure functions, never raise on any text, and answer "nothing" rather than guess: a question asked
again costs less than a wrong telephone number or a wrong age.
"""

from bot.assistant.values.age_group import age_alone, read_age_group
from bot.assistant.values.ago import read_days_ago
from bot.assistant.values.country import read_country
from bot.assistant.values.date_time import read_date_time, read_week
from bot.assistant.values.direction import read_direction, speaks_of_return
from bot.assistant.values.phone import read_phone
from bot.assistant.values.yes_no import read_yes_no

__all__ = [
    "age_alone",
    "read_age_group",
    "read_country",
    "read_date_time",
    "read_days_ago",
    "read_direction",
    "read_phone",
    "read_week",
    "read_yes_no",
    "speaks_of_return",
]
