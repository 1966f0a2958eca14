"""Setting up a connector, step by step, as a pure model: what was chosen so far, what is wrong with it, and the draft it makes.

The wizard's screens stand on it; so does the form that edits a connector, which begins at the review. Going back and forth keeps
what was chosen, also the streams of a source that was left for another one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeVar

from syncterm.editing.stream_baseline import Baseline
from syncterm.editing.stream_editing import StreamEditing
from syncterm.engine.connector_rules import check_collection, check_name
from syncterm.engine.document_tree import LONGEST_NAME
from syncterm.engine.drafts import CatalogEntry, ConnectorDraft
from syncterm.engine.errors import ConfigError
from syncterm.engine.model import BlackoutWindow, EndpointKind, Schedule
from syncterm.engine.schedule import validate
from syncterm.engine.stream_defaults import EndAbilities

Value = TypeVar("Value")
NAMED_PROBLEMS = 3
"""Problems of streams that the review names; of more, it says how many."""


class Step(StrEnum):
    """The steps, in their order."""

    SOURCE = "source"
    STREAMS = "streams"
    DESTINATION = "destination"
    SCHEDULE = "schedule"
    REVIEW = "review"


STEPS = tuple(Step)
TITLES: Mapping[Step, str] = {
    Step.SOURCE: "Source",
    Step.STREAMS: "Streams",
    Step.DESTINATION: "Destination",
    Step.SCHEDULE: "Schedule",
    Step.REVIEW: "Review",
}


class StepState(StrEnum):
    """How far a step is."""

    DONE = "done"
    TROUBLED = "troubled"
    """It was looked at, and what it says cannot run."""
    TO_COME = "to_come"


@dataclass(frozen=True, slots=True)
class End:
    """A source or a destination that can be chosen."""

    kind: EndpointKind
    id: str
    name: str
    type_title: str
    incomplete_reason: str | None = None


@dataclass(frozen=True, slots=True)
class StepProblem:
    """What keeps a connector from running, or is only worth knowing, and the step that mends it."""

    step: Step
    message: str
    blocking: bool = True


class ConnectorWizard:
    """One connector in a person's hands.

    Args:
        draft: the connector as saved; None for a new one.
    """

    def __init__(self, draft: ConnectorDraft | None = None) -> None:
        self._saved = draft or ConnectorDraft()
        self.name = self._saved.name
        """As a person typed it, or as proposed."""
        self.name_typed = bool(self._saved.name)
        """Whether a person chose the name; else a better proposal replaces it."""
        self.source: End | None = None
        self.destination: End | None = None
        self.collection = self._saved.collection
        self.schedule = self._saved.schedule
        self.catch_up = self._saved.catch_up
        self.blackout = self._saved.blackout
        self.stream_schedules: dict[str, Schedule] = {
            stream.name: stream.schedule for stream in self._saved.streams if stream.schedule is not None
        }
        """Schedules that streams have of their own."""
        self.shared_tables: tuple[tuple[str, str], ...] = ()
        """Tables that another connector fills already, each with that connector's name."""
        self.visited: set[Step] = set(STEPS) if self.editing_saved else set()
        self.discovery_fault = ""
        """Why the source's streams could not be read; empty where they could."""
        self._editings: dict[str, StreamEditing] = {}
        self._schedule_chosen = self.editing_saved

    # --- What there is

    @property
    def editing_saved(self) -> bool:
        """Whether it changes a connector that exists."""
        return self._saved.id is not None

    @property
    def saved(self) -> ConnectorDraft:
        """The connector as it was opened; an empty draft for a new one."""
        return self._saved

    @property
    def streams(self) -> StreamEditing | None:
        """The streams of the chosen source; None as long as its catalog is not known."""
        return self._editings.get(self.source.id) if self.source is not None else None

    # --- Choosing

    def choose_source(self, end: End) -> None:
        """Read from this source; streams that were chosen from another one wait until that is chosen again."""
        if self.source is None or self.source.id != end.id:
            self.discovery_fault = ""
        self.source = end
        self.propose_name()

    def choose_destination(self, end: End) -> None:
        """Write to this destination."""
        if self.destination is None or self.destination.id != end.id:
            self.shared_tables = ()
        self.destination = end
        self.propose_name()

    def ends_changed(self, ends: Iterable[End]) -> None:
        """Sources or destinations were saved meanwhile: take their present names over; one that is gone is no longer chosen."""
        by_id = {end.id: end for end in ends}
        kinds = {end.kind for end in by_id.values()}
        if self.source is not None and (EndpointKind.SOURCE in kinds or not by_id):
            self.source = by_id.get(self.source.id)
        if self.destination is not None and (EndpointKind.DESTINATION in kinds or not by_id):
            self.destination = by_id.get(self.destination.id)

    def take_catalog(self, entries: Iterable[CatalogEntry], abilities: EndAbilities) -> StreamEditing:
        """What the chosen source offers; what was selected stays, unless it is gone and was never saved.

        Raises:
            ConfigError: no source is chosen.
        """
        if self.source is None:
            raise ConfigError("No source is chosen.", remedy="Choose one first.")
        offered = tuple(entries)
        self.discovery_fault = ""
        editing = self._editings.get(self.source.id)
        saved = self._saved.streams if self.source.id == self._saved.source_id else ()
        if editing is None:
            editing = StreamEditing(Baseline(offered, saved), abilities=abilities)
            self._editings[self.source.id] = editing
        else:
            known = {entry.name for entry in offered} | {stream.name for stream in saved}
            editing.select([stream.name for stream in editing.streams() if stream.name not in known], False)
            editing.rebase(Baseline(offered, saved))
        return editing

    def choose_schedule(
        self,
        schedule: Schedule,
        *,
        catch_up: str | None = None,
        blackout: tuple[BlackoutWindow, ...] | None = None,
        per_stream: Mapping[str, Schedule | None] | None = None,
    ) -> None:
        """When it is due; None leaves a part as it is."""
        self.schedule = schedule
        self._schedule_chosen = True
        if catch_up is not None:
            self.catch_up = catch_up
        if blackout is not None:
            self.blackout = blackout
        if per_stream is not None:
            self.stream_schedules = {name: own for name, own in per_stream.items() if own is not None}

    def rename(self, name: str) -> None:
        """A person chose the name; an empty one is proposed again."""
        self.name, self.name_typed = name, bool(name.strip())

    def propose_name(self, taken: Iterable[str] = ()) -> str:
        """A name that says what it connects and that nobody has; taken over unless a person typed one."""
        if self.name_typed or self.source is None or self.destination is None:
            return self.name
        base = f"{self.source.name} to {self.destination.name}"[: LONGEST_NAME - 5]
        used, number = set(taken), 1
        self.name = base
        while self.name in used:
            number += 1
            self.name = f"{base} {number}"
        return self.name

    # --- What it makes

    def draft(self) -> ConnectorDraft:
        """The connector as it would be saved now. An end that has not been looked up yet is the saved one."""
        editing = self.streams
        source_id = self.source.id if self.source is not None else self._saved.source_id
        destination_id = self.destination.id if self.destination is not None else self._saved.destination_id
        own_source = source_id == self._saved.source_id
        chosen = editing.streams() if editing is not None else self._saved.streams if own_source else ()
        return replace(
            self._saved,
            name=self.name,
            source_id=source_id,
            destination_id=destination_id,
            collection=self.collection,
            streams=tuple(
                stream
                if stream.schedule == self.stream_schedules.get(stream.name)
                else replace(stream, schedule=self.stream_schedules.get(stream.name))
                for stream in chosen
            ),
            schedule=self.schedule,
            catch_up=self.catch_up,
            blackout=self.blackout,
        )

    @property
    def changed(self) -> bool:
        """Whether something would be lost by leaving."""
        draft = self.draft()
        return (draft if self.name_typed or self.editing_saved else replace(draft, name=self._saved.name)) != self._saved

    # --- What is wrong

    def problems(self) -> tuple[StepProblem, ...]:
        """Everything that keeps it from running, in the order of the steps; then what is only worth knowing."""
        return tuple(sorted(self._problems(), key=lambda problem: not problem.blocking))

    def problems_of(self, step: Step) -> tuple[StepProblem, ...]:
        """The problems that one step mends."""
        return tuple(problem for problem in self.problems() if problem.step is step)

    @property
    def complete(self) -> bool:
        """Whether it could run as it is."""
        return not any(problem.blocking for problem in self._problems())

    def _problems(self) -> Iterator[StepProblem]:
        yield from self._end_problems(Step.SOURCE, self.source)
        yield from self._stream_problems()
        yield from self._end_problems(Step.DESTINATION, self.destination)
        yield from _fault(Step.DESTINATION, check_collection, self.collection)
        yield from _fault(Step.SCHEDULE, validate, self.schedule)
        if self.name_typed or (self.source is not None and self.destination is not None):
            yield from _fault(Step.REVIEW, check_name, self.name)
        for table, connector in self.shared_tables[:NAMED_PROBLEMS]:
            yield StepProblem(Step.DESTINATION, f"Table {table} is filled by the connector {connector} already.", blocking=False)
        if (more := len(self.shared_tables) - NAMED_PROBLEMS) > 0:
            yield StepProblem(Step.DESTINATION, f"So are {more:,} more tables.", blocking=False)

    @staticmethod
    def _end_problems(step: Step, end: End | None) -> Iterator[StepProblem]:
        if end is None:
            yield StepProblem(step, f"No {step} is chosen.")
        elif end.incomplete_reason is not None:
            yield StepProblem(step, f"The {step} {end.name} is not set up: {end.incomplete_reason}.")

    def _stream_problems(self) -> Iterator[StepProblem]:
        if self.source is None:
            return
        editing = self.streams
        if editing is None:
            reason = f": {self.discovery_fault}" if self.discovery_fault else "."
            if not self.draft().streams:
                yield StepProblem(Step.STREAMS, f"What the source offers has not been read{reason}")
            return
        if not editing.selected_count:
            yield StepProblem(Step.STREAMS, "No stream is selected.")
        wrong = editing.troubled
        troubled = [entry.name for entry in editing.entries if entry.name in wrong] if wrong else []
        for name in troubled[:NAMED_PROBLEMS]:
            problem = next(each for each in editing.problems(name) if each.blocking)
            yield StepProblem(Step.STREAMS, f"{name}: {problem.message}")
        if (more := len(troubled) - NAMED_PROBLEMS) > 0:
            yield StepProblem(Step.STREAMS, f"{more:,} more streams cannot be synced as they are set up.")

    def state_of(self, step: Step) -> StepState:
        """How far a step is, for the strip."""
        if any(problem.blocking for problem in self.problems_of(step)):
            return StepState.TROUBLED if step in self.visited else StepState.TO_COME
        if step is Step.STREAMS and self.source is None:
            return StepState.TO_COME
        if step is Step.REVIEW or (step is Step.SCHEDULE and not self._schedule_chosen and step not in self.visited):
            return StepState.TO_COME
        return StepState.DONE

    def first_open_step(self) -> Step:
        """Where a person goes on: the first step that lacks something, else the review."""
        return next((step for step in STEPS if self.state_of(step) is not StepState.DONE), Step.REVIEW)


def _fault(step: Step, rule: Callable[[Value], None], value: Value) -> Iterator[StepProblem]:
    """What a rule has against a value."""
    try:
        rule(value)
    except ConfigError as error:
        yield StepProblem(step, str(error))


def neighbour(step: Step, by: int) -> Step | None:
    """The step before or after; None beyond the ends."""
    index = STEPS.index(step) + by
    return STEPS[index] if 0 <= index < len(STEPS) else None
