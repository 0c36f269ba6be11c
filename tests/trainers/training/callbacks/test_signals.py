"""Signals: deferred in one context, raised in another, and handled as before after both."""

import signal
import threading

import pytest

from trainers.errors import InterruptedRunError
from trainers.training.callbacks import signals


def test_signal_is_deferred_and_the_handlers_return():
    before = signal.getsignal(signal.SIGTERM)
    with signals.defer_signals() as request:
        assert request.number == 0
        signal.raise_signal(signal.SIGTERM)
        assert request.number == signal.SIGTERM
        assert request.message_and_code("saved at step 3") == (
            f"SIGTERM: saved at step 3; {signals.CONTINUES}",
            128 + signal.SIGTERM,
        )
    assert signal.getsignal(signal.SIGTERM) is before


def test_signal_is_raised_where_nothing_is_under_way():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(InterruptedRunError, match="SIGINT"), signals.raise_on_signal():
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_hangup_asks_to_stop_unless_it_is_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        with signals.defer_signals() as request:
            signal.raise_signal(signal.SIGHUP)
            assert request.message_and_code("saved")[1] == 129
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup starts a command
        with signals.defer_signals() as request:
            signal.raise_signal(signal.SIGHUP)
            assert request.number == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_other_threads_leave_the_handlers_alone():
    seen = []

    def enter():
        with signals.defer_signals():
            seen.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [before]
