"""The picture of the flow: always as wide as it is told, whatever the names are; the throughput."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncterm.text import GLYPHS_ASCII, GLYPHS_UNICODE, Glyphs, width
from syncterm.widgets.flow import FlowEnd, FlowPicture, Throughput, flow_lines
from syncterm.widgets.lines import plain

ends = st.builds(FlowEnd, title=st.text(max_size=40), name=st.text(max_size=80), detail=st.text(max_size=80), fault=st.booleans())
counts = st.none() | st.integers(0, 10**13)
pictures = st.builds(
    FlowPicture,
    source=ends,
    destination=ends,
    running=st.booleans(),
    stopping=st.booleans(),
    caption=st.text(max_size=60),
    footnote=st.text(max_size=60),
    stream=st.text(max_size=60),
    records=counts,
    bytes=counts,
    expected=counts,
    records_per_second=st.none() | st.floats(0, 1e9),
    bytes_per_second=st.none() | st.floats(0, 1e12),
    phase=st.integers(0, 10**6),
)


@given(pictures, st.integers(20, 200), st.sampled_from([GLYPHS_UNICODE, GLYPHS_ASCII]))
def test_every_row_is_exactly_as_wide_as_asked_for(picture: FlowPicture, cells: int, symbols: Glyphs) -> None:
    for line in flow_lines(picture, cells, symbols):
        assert width(plain(line)) == cells
        assert plain(line).isprintable()


@given(pictures)
def test_the_ascii_picture_draws_in_ascii(picture: FlowPicture) -> None:
    drawn = FlowPicture(
        FlowEnd("a", "b", "c"), FlowEnd("d", "e", "f"), running=picture.running, records=picture.records, expected=picture.expected
    )
    assert all(plain(line).isascii() for line in flow_lines(drawn, 80, GLYPHS_ASCII))


SOURCE, DESTINATION = FlowEnd("PostgreSQL", "billing-db", "12 of 14 streams"), FlowEnd("DuckDB", "warehouse", "analytics")


def test_a_running_flow_at_80_columns() -> None:
    picture = FlowPicture(
        SOURCE, DESTINATION, running=True, stream="orders", records=12_340, bytes=4_000_000, expected=30_000,
        records_per_second=1_240.2, bytes_per_second=320_000, phase=3,
    )  # fmt: skip
    assert [plain(line) for line in flow_lines(picture, 78, GLYPHS_UNICODE)] == [
        "╭─ PostgreSQL ───────────╮ 1,240 rec/s, 320.0 kB/s  ╭─ DuckDB ───────────────╮",
        "│ billing-db             │ ───━━────━━────━━────━▶  │ warehouse              │",
        "│ 12 of 14 streams       │      orders 12,340       │ analytics              │",
        "╰────────────────────────╯ ███████░░░░░░░░░░░  41 % ╰────────────────────────╯",
    ]


def test_the_marks_on_the_link_travel_towards_the_destination() -> None:
    def marks(phase: int) -> list[int]:
        line = plain(flow_lines(FlowPicture(SOURCE, DESTINATION, running=True, phase=phase), 78, GLYPHS_UNICODE)[1])
        return [index for index, character in enumerate(line) if character == "━"]

    assert [mark + 1 for mark in marks(0)][:5] == marks(1)[:5]


@pytest.mark.parametrize(
    ("samples", "rate"),
    [
        ([], None),
        ([(0.0, 0, 0)], None),
        ([(0.0, 0, 0), (2.0, 100, 50)], (50.0, 25.0)),
        ([(0.0, 0, 0), (0.0, 100, 50)], None),
        ([(0.0, 500, 0), (1.0, 10, 0)], None),
        ([(float(second), second * 10, 0) for second in range(20)] + [(20.0, 1_000, 0)], ((1_000 - 150) / 5, 0.0)),
    ],
)
def test_throughput_looks_back_a_few_seconds_and_starts_anew_when_the_count_does(
    samples: list[tuple[float, int, int]], rate: tuple[float, float] | None
) -> None:
    throughput = Throughput([])
    for sample in samples:
        throughput.add(*sample)
    assert throughput.rate() == (pytest.approx(rate) if rate else None)
