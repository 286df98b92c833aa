"""What can go wrong on the way, as data: a rule says which requests, a fault says what happens to them."""
import re
from dataclasses import dataclass, field


@dataclass
class Fault:
    """One answer that is not as it should be. What is left at its default is as it should be."""

    status: int | None = None  # with a body that says so, in place of the real answer
    headers: dict = field(default_factory=dict)  # in place of the real ones; None: left out. {hub}, {cdn}, {path} are filled in
    body: object = None  # bytes, or a function that gives an iterator over blocks, in place of the real body
    raw: bytes | None = None  # sent in place of everything; then the line breaks
    drop_after: int | None = None  # bytes of the body; then the line breaks
    reset: bool = False  # it breaks by a reset, not by an end
    stall_after: int | None = None  # bytes of the body; then nothing comes any more
    trickle: float | None = None  # seconds between two bytes of the body
    rate: int | None = None  # bytes in a second
    corrupt: tuple = ()  # offsets in the file of bytes that come flipped
    extra: bytes = b""  # after the body
    ignore_range: bool = False  # a range is answered with the whole file
    shift: int = 0  # the range that is sent, and said to be sent, begins so much later than what was asked for
    chunked: bool = False  # the body comes in chunks, its length is not said
    before: object = None  # a function of the hub, called before the answer: moves a branch, waits for an event


@dataclass
class Rule:
    """Applies to requests whose "METHOD /path?query" matches `request` (re.search) at `origin` ("hub", "cdn"; None: both). Of these, `skip` are
    let through, then `times` are struck (None: all)."""

    fault: Fault
    request: str = ""
    origin: str | None = None
    skip: int = 0
    times: int | None = None
    struck: int = 0

    def strikes(self, origin, request):
        if (self.origin and self.origin != origin) or not re.search(self.request, request):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        if self.times is not None and self.struck >= self.times:
            return False
        self.struck += 1
        return True
