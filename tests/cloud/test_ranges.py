"""RFC 9110: conditions before ranges, and what is answered to each."""

import pytest
from otacloud.ranges import Selection, select

ETAG = '"abc"'
SIZE = 1000
WHOLE = Selection(200, 0, SIZE)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, WHOLE),
        ({"range": "bytes=0-99"}, Selection(206, 0, 100)),
        ({"range": "bytes=900-"}, Selection(206, 900, 1000)),
        ({"range": "bytes=-1"}, Selection(206, 999, 1000)),
        ({"range": "bytes=-5000"}, Selection(206, 0, 1000)),
        ({"range": "bytes=999-5000"}, Selection(206, 999, 1000)),
        ({"range": "bytes=1000-"}, Selection(416, 0, SIZE)),
        ({"range": "bytes=-0"}, Selection(416, 0, SIZE)),
        ({"range": "bytes=5-4"}, WHOLE),  # malformed: ignored
        ({"range": "bytes=-"}, WHOLE),
        ({"range": "lines=1-2"}, WHOLE),
        ({"range": "bytes=0-1,5-6"}, WHOLE),  # several: the whole is allowed
        ({"if-match": ETAG}, WHOLE),
        ({"if-match": '"x", "abc"'}, WHOLE),
        ({"if-match": "*"}, WHOLE),
        ({"if-match": '"x"'}, Selection(412, 0, 0)),
        ({"if-match": 'W/"abc"'}, Selection(412, 0, 0)),  # strong comparison
        ({"if-match": '"x"', "range": "bytes=0-1"}, Selection(412, 0, 0)),
        ({"if-match": ETAG, "range": "bytes=0-1"}, Selection(206, 0, 2)),
        ({"if-none-match": 'W/"abc"'}, Selection(304, 0, 0)),
        ({"if-none-match": '"x"'}, WHOLE),
        ({"if-range": ETAG, "range": "bytes=0-1"}, Selection(206, 0, 2)),
        ({"if-range": '"x"', "range": "bytes=0-1"}, WHOLE),
    ],
)
def test_select(headers: dict[str, str], expected: Selection) -> None:
    assert select(headers, ETAG, SIZE) == expected
