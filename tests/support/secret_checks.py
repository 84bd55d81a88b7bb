"""Look for the planted key wherever an error, a log, a stream or a pickle could show it."""

from __future__ import annotations

import pickle
import traceback

import pytest

import vapi_frames as vf

KEY = "sk-planted-4f1d9c"  # a global: the checks also walk the locals of a test


def chain(error):
    """Return *error* and every exception that can be reached from it."""
    found = [error]
    for one in found:
        parts = [one.__cause__, one.__context__, *one.args, *vars(one).values(), *getattr(one, "exceptions", ())]
        found += [part for part in parts if isinstance(part, BaseException) and part not in found]
    return found


def traces(error):
    """Return the frames of an exception's traceback."""
    step = error.__traceback__
    while step:
        yield step.tb_frame
        step = step.tb_next


def texts(error):
    """Return everything that a log, a debugger, an error tracker or a pickle would make of *error*."""
    for one in chain(error):
        yield from (str(one), repr(one), repr(one.args), repr(vars(one)), repr(getattr(one, "__notes__", ())))
        yield from (repr(value) for value in vars(one).values())
        yield from (repr(vars(value)) for value in vars(one).values() if hasattr(value, "__dict__"))
        if isinstance(one, OSError):
            yield repr((one.filename, one.strerror))
        yield "".join(traceback.TracebackException.from_exception(one, capture_locals=True, compact=False).format())
        for frame in traces(one):
            yield from (f"{name} = {value!r}" for name, value in frame.f_locals.items())
            # What an error tracker shows of a local object: its attributes, one floor deep.
            yield from (repr(vars(value)) for value in frame.f_locals.values() if hasattr(value, "__dict__"))


def assert_clean(*found):
    """Check that none of the texts holds the key."""
    assert found
    for text in found:
        assert KEY not in text, text[:2_000]


def assert_error_clean(error):
    """Check that nothing that can be made of *error* holds the key, as it is and after a pickle."""
    assert_clean(*texts(error))
    dumped = pickle.dumps(error)
    assert KEY.encode() not in dumped
    restored = pickle.loads(dumped)
    assert type(restored) is type(error)
    assert str(restored) == str(error)
    assert_clean(*texts(restored))


def caught(run, kind=vf.VapiFramesError):
    """Return the error that *run* raises."""
    try:
        run()
    except kind as error:
        return error
    pytest.fail("nothing was raised")
