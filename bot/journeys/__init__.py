"""The journeys of a person. `VERBS` is what Rasa's replies (`do: <verb>`) and our own buttons may ask for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from bot.journeys import checkins, conversation, first_contact, handoff, interviews, learning, my_data, rights

# does one thing in the turn's transaction and says what it did; arguments come from the reply's or button's `with`
Verb = Callable[..., Awaitable[None]]
VERBS: Mapping[str, Verb] = {
    "welcome": conversation.welcome,
    "greet": conversation.greet,
    "help": conversation.help_menu,
    "answer": conversation.answer,
    "not_understood": conversation.not_understood,
    "none_of_these": conversation.none_of_these,
    "keep_words": learning.keep_words,
    "out_of_scope": conversation.out_of_scope,
    "set_language": conversation.set_language,
    "change_language": conversation.change_language,
    "emergency": conversation.emergency,
    "emergency_numbers": conversation.emergency_numbers,
    "handoff": handoff.ask,
    "finish_first_contact": first_contact.finish,
    "leave_first_contact": first_contact.leave,
    "choose_change": first_contact.choose_change,
    "request_status": first_contact.status,
    "withdraw_request": first_contact.withdraw,
    "interview": interviews.interview,
    "book_interview": interviews.begin,
    "change_interview": interviews.change,
    "cancel_interview": interviews.ask_cancel,
    "drop_interview": interviews.drop,
    "leave_interview": interviews.leave,
    "interview_answer": interviews.reply,
    "interview_come": interviews.come,
    "interview_status": interviews.status,
    "checkins": checkins.checkins,
    "checkin_now": checkins.answer_now,
    "checkin_later": checkins.later,
    "checkin_answer": checkins.reply,
    "stop_checkins": checkins.stop,
    "stop": rights.stop,
    "resume": rights.resume,
    "my_data": rights.my_data,
    "delete_my_data": rights.delete_my_data,
    "my_data_file": my_data.as_file,
    "correct_my_data": my_data.correct,
    "consents": my_data.consents,
    "withdraw_consent": my_data.withdraw,
    "other_phone": my_data.other_phone,
    "clear_chat": my_data.clear_chat,
    "keep": rights.keep,
    "erase": rights.erase,
}
