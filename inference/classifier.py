"""The one path from texts to predictions; every shell (command line, HTTP, batch, Ray, MLflow) calls it."""

from __future__ import annotations

import copy
import itertools
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tokenizers import Tokenizer
from zhenyan.inference.batching import CHARS, groups, pad, plan_batches
from zhenyan.inference.bundle import Bundle, load_bundle, open_tokenizer
from zhenyan.inference.context import ContextHit, Line, checked_lines, close, pair_hits
from zhenyan.inference.errors import BundleError, ConfigError, InputError, ZhenyanError
from zhenyan.inference.evidence import Evidence, find_evidence
from zhenyan.inference.normalise import normalise
from zhenyan.inference.session import Session, open_session
from zhenyan.inference.thresholds import check_labels, thresholds_in_force
from zhenyan.inference.windows import readable, readings_of, split_windows

CHUNK = 2048  # texts sorted by length together; bounds memory, as CHARS does where they are long
SLICE = 1024  # texts tokenised at a time; bounds memory where they are many
TOKEN_BUDGET = 2048  # padded tokens in one run of the session
CACHE = 4096  # texts whose scores are remembered: livestream lines repeat
CACHED_CHARS = 512  # longer texts aren't: they hardly repeat


class _Window(NamedTuple):
    reading: int  # the number of the reading that it is of
    ids: list[int]


@dataclass(frozen=True)
class Prediction:
    """Decision on one text: labels above their thresholds (none: compliant), every label's probability, evidence."""

    text: str
    labels: tuple[str, ...]
    scores: dict[str, float] = field(hash=False)
    evidence: tuple[Evidence, ...] = ()
    truncated: bool = False


@dataclass(frozen=True)
class StreamPrediction(Prediction):
    """Decision on one line of a stream; `context`: what the line before and it carry together and neither carries alone."""

    context: ContextHit | None = None


@dataclass(eq=False)
class Classifier:
    """Scores texts with one bundle, for several threads at once. A text's score doesn't depend on neighbours or batch."""

    bundle: Bundle
    session: Session
    tokenizer: Tokenizer = field(repr=False)
    explain: bool = True
    thresholds: np.ndarray = field(init=False, repr=False)
    # Runtime, threads and spin of `load`
    _opened: tuple[str, int | None, bool] | None = field(init=False, repr=False, default=None)
    _cache: OrderedDict[str, np.ndarray] = field(init=False, repr=False, default_factory=OrderedDict)
    _remembering: threading.Lock = field(init=False, repr=False, default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.thresholds = np.array(self.bundle.thresholds, dtype=np.float32)
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        self._pad_id = int(self.bundle.manifest["pad_id"])
        specials = self.tokenizer.encode("", add_special_tokens=True).ids
        self._open, self._close = specials[:1], specials[-1:]

    @classmethod
    def load(
        cls,
        folder: Path | str | None = None,
        *,
        runtime: str = "onnxruntime",
        threads: int | None = None,
        explain: bool = True,
        spin: bool = True,
    ) -> Classifier:
        """Open a bundle folder (the bundled model by default) after checking its hashes.

        `runtime`: onnxruntime, openvino, openvino-bf16 or auto: what `zhenyan doctor --save` chose here, else onnxruntime.
        `threads`: CPU threads, all the process may use by default. `explain`: also find evidence (a few times slower on
        texts with hits). `spin`: ONNX Runtime's threads wait for work awake, which suits a file on a machine of its own; False
        where scoring comes now and then or others compute beside it, as in a service.
        BundleError when the folder is incomplete, altered or too new, or the runtime can't run its model;
        ConfigError for an unknown runtime, a number of threads that is none, or an `explain` or `spin` that is neither True nor
        False; MissingExtra when the runtime isn't installed.
        """
        _check_switches(explain=explain, spin=spin)
        bundle = load_bundle(folder)
        if runtime == "auto":
            from zhenyan.inference.doctor import saved_choice

            runtime = saved_choice(bundle)
        tokenizer = open_tokenizer(bundle)
        session = open_session(bundle.folder / "model.onnx", runtime, threads, spin)
        loaded = cls(bundle, session, tokenizer, explain)
        loaded._opened = runtime, threads, spin
        return loaded

    def __copy__(self) -> Classifier:
        """Another one that shares the model and what is remembered."""
        twin = object.__new__(type(self))
        vars(twin).update(vars(self))
        return twin

    def __reduce__(self) -> tuple[Callable[..., Classifier], tuple[Any, ...]]:
        """Pickled and deep-copied as what to load again where it arrives: a session can't leave its process.

        ConfigError when it wasn't made by `load`.
        """
        if self._opened is None:
            raise ConfigError(
                "this classifier wasn't made by Classifier.load, so it can't be sent: make one in each process"
            )
        runtime, threads, spin = self._opened
        asked = {"runtime": runtime, "threads": threads, "explain": self.explain, "spin": spin}
        return _load_again, (type(self), self.bundle.folder, self.bundle.id, self.thresholds, asked)

    def classify(self, texts: Iterable[str], chunk: int = CHUNK) -> Iterator[Prediction]:
        """One Prediction for each text, in order, lazily and in constant memory. InputError names what is no text.

        Up to `chunk` texts are taken and scored together before the first is answered: 1 suits a live transcript.
        ConfigError when it is no number of texts.
        """
        for group in groups(_checked(texts), CHARS, _checked_chunk(chunk)):
            yield from self._predict(group, self.explain, [self] * len(group))

    def classify_stream(self, lines: Iterable[Line], chunk: int = CHUNK) -> Iterator[StreamPrediction]:
        """`classify` for the lines of one stream, in order, each read with the line before as well, as `zhenyan score` does.

        InputError names what is no Line, no text or no number of seconds; ConfigError as by `classify`.
        """
        texts, told = itertools.tee(checked_lines(lines))
        held: list[tuple[Line, Prediction]] = []  # the last line of the group before
        named = _checked((line.text for line in texts), "lines[{}].text")
        for group in groups(named, CHARS, _checked_chunk(chunk)):
            fresh = zip(
                itertools.islice(told, len(group)), self._predict(group, self.explain, [self] * len(group)), strict=True
            )
            scored = [*held, *fresh]
            yield from self._in_context(scored)[len(held) :]
            held = scored[-1:]

    def predict(
        self, texts: Iterable[str], explain: bool | None = None, deciders: Iterable[Classifier] | None = None
    ) -> list[Prediction]:
        """`classify` for texts that fit in memory; `explain` overrides whether evidence is found.

        `deciders`: for each text the classifier by whose thresholds it is decided, which `with_thresholds` of this one gave;
        all texts are scored together. InputError when there are fewer than texts, or one is no Classifier.
        ConfigError when `explain` is neither True nor False.
        """
        wanted = self.explain if explain is None else explain
        _check_switches(explain=wanted)
        each = itertools.repeat(self) if deciders is None else iter(deciders)
        parts = groups(_checked(texts), CHARS, sys.maxsize)
        decided = ((group, _next_deciders(each, len(group))) for group in parts)
        return [prediction for group, own in decided for prediction in self._predict(group, wanted, own)]

    def score(self, texts: Iterable[str]) -> np.ndarray:
        """Probabilities, float32 (texts, labels): the highest over a text's windows and, less a margin, its runs of clauses.

        0 for a text with no content.
        """
        parts = groups(_checked(texts), CHARS, sys.maxsize)
        scores = (self._score([readable(text).plain for text in group]) for group in parts)
        return np.concatenate([self._score([]), *scores])

    def decide(self, probabilities: np.ndarray) -> tuple[str, ...]:
        """Labels whose probability reaches their threshold, in the bundle's order; `probabilities` (labels,) of one text.

        InputError when they have another shape, or names the place of what is no number.
        """
        given = _numbers(probabilities, np.shape(self.thresholds), "one row {} of `score`")
        return tuple(label for label, hit in zip(self.bundle.label_ids, given >= self.thresholds, strict=True) if hit)

    def find_evidence(
        self, texts: Sequence[str], labels: Sequence[Sequence[str]], probabilities: np.ndarray
    ) -> list[tuple[Evidence, ...]]:
        """For each text the spans that carry each of its `labels`, decided or not; `probabilities` as `score` gave them.

        InputError when there are not as many of both as of texts, `labels` aren't lists of names, or a probability is no number.
        """
        labels = _lists(labels)
        check_labels((label for named in labels for label in named), self.bundle.label_ids)
        parts = [readable(text).part for text in _checked(texts)]
        if len(labels) != len(parts):
            raise InputError(f"labels: expected a list for each of {len(parts)} texts, given {len(labels)}")
        given = _numbers(probabilities, (len(parts), len(self.bundle.labels)), "an array {} as `score` gives it")
        columns = [[(label, self.bundle.label_ids.index(label)) for label in named] for named in labels]
        return find_evidence(parts, columns, given.astype(np.float32), self._score_probes, self._word_ends)

    def with_thresholds(
        self,
        *,
        min_score: float | None = None,
        labels: Iterable[str] | None = None,
        thresholds: Mapping[str, float] | None = None,
    ) -> Classifier:
        """A classifier that decides otherwise; scores stay the same.

        `thresholds`, by label id, stand in place of the bundle's, be they higher or lower; then `min_score` raises all that are
        lower; then of all labels only the named `labels` are decided. All count from the bundle's thresholds, not from this one's.
        It shares this one's model and what it remembers, and this one decides as before.
        ConfigError when `min_score` isn't from 0 to 1, a threshold isn't over 0 and up to 1, or when a label is named that
        the bundle lacks, or `labels` names none.
        """
        deciding = np.array(list(thresholds_in_force(self.bundle, min_score, thresholds).values()), dtype=np.float32)
        if labels is not None:
            if not isinstance(labels, Iterable):
                raise ConfigError(f"labels: expected label names, given {labels!r}")
            wanted = [labels] if isinstance(labels, str) else list(labels)
            if not wanted:
                raise ConfigError(f"labels: names none; this bundle has {', '.join(self.bundle.label_ids)}")
            check_labels(wanted, self.bundle.label_ids)
            deciding[[label not in wanted for label in self.bundle.label_ids]] = np.inf
        other = copy.copy(self)
        other.thresholds = deciding
        return other

    def clear_cache(self) -> None:
        """Forget remembered scores: what follows is then the same as in a new process, to the last bit."""
        with self._remembering:
            self._cache.clear()

    def _predict(self, texts: list[str], explain: bool, deciders: Sequence[Classifier]) -> list[Prediction]:
        read = [readable(text) for text in texts]
        probabilities = self._score([each.plain for each in read])
        labels = [decider.decide(row) for decider, row in zip(deciders, probabilities, strict=True)]
        evidence = self._explain(texts, labels, probabilities) if explain else {}
        return [
            Prediction(text, decided, dict(zip(self.bundle.label_ids, row.tolist(), strict=True)),
                       evidence.get((text, decided), ()), not each.whole)
            for text, each, decided, row in zip(texts, read, labels, probabilities, strict=True)
        ]  # fmt: skip

    def _in_context(self, scored: Sequence[tuple[Line, Prediction]]) -> list[StreamPrediction]:
        lines, predictions = zip(*scored, strict=True)
        hits = pair_hits(self, predictions, lambda i: close(lines[i], lines[i + 1]) is not False)
        return [StreamPrediction(**vars(one), context=hits.get(i - 1)) for i, one in enumerate(predictions)]

    def _score(self, plain: list[str]) -> np.ndarray:
        """Probabilities of normalised texts, remembered ones and new ones."""
        rows = {text: row for text in plain if (row := self._cache.get(text)) is not None}
        missing = list(dict.fromkeys(text for text in plain if text not in rows))
        fresh = dict(zip(missing, self._score_new(missing), strict=True))
        found = rows | fresh
        result = np.stack([found[t] for t in plain]) if plain else np.zeros((0, len(self.bundle.labels)), np.float32)
        self._remember(rows, fresh)
        return result

    def _explain(
        self, texts: Sequence[str], labels: Sequence[tuple[str, ...]], probabilities: np.ndarray
    ) -> dict[tuple[str, tuple[str, ...]], tuple[Evidence, ...]]:
        """Evidence of each text that is a hit, with the labels decided; hosts repeat themselves, and it is sought once."""
        hits = {(text, decided): i for i, (text, decided) in enumerate(zip(texts, labels, strict=True)) if decided}
        rows = list(hits.values())
        found = self.find_evidence([texts[i] for i in rows], [labels[i] for i in rows], probabilities[rows])
        return dict(zip(hits, found, strict=True))

    def _score_probes(self, texts: Sequence[str]) -> np.ndarray:
        """Like `score`, without remembering."""
        return self._score_new([normalise(text) for text in texts])

    def _word_ends(self, text: str) -> list[int]:
        """Where the words of a text end, as the tokenizer sees them: a vocabulary of subwords keeps common words whole."""
        encoding = self.tokenizer.encode(text.encode("utf-8", "replace").decode(), add_special_tokens=False)
        return sorted({end for _, end in encoding.offsets})

    def _score_new(self, plain: list[str]) -> np.ndarray:
        """Probabilities of normalised texts that aren't in the cache."""
        result = np.zeros((len(plain), len(self.bundle.labels)), dtype=np.float32)
        for first in range(0, len(plain), SLICE):
            read = readings_of(plain[first : first + SLICE])
            windows = self._windows(read.texts)
            logits = np.full((len(read.texts), result.shape[1]), -np.inf, dtype=np.float32)
            for batch in plan_batches([len(window.ids) for window in windows], TOKEN_BUDGET):
                ids, mask = pad([windows[i].ids for i in batch], self._pad_id)
                given = self.session(ids, mask)
                if not np.isfinite(given).all():
                    raise ZhenyanError(f"bundle {self.bundle.id}: the model gave a score that is not a number")
                np.maximum.at(logits, [windows[i].reading for i in batch], given)
            result[first : first + SLICE] = 1 / (1 + np.exp(-read.highest(logits)))
        return result

    def _windows(self, plain: list[str]) -> list[_Window]:
        """Windows of normalised texts, with specials; none of a text with no content."""
        size = self.bundle.max_tokens - len(self._open) - len(self._close)
        encodings = self.tokenizer.encode_batch_fast(plain, add_special_tokens=False)
        return [
            _Window(number, [*self._open, *ids, *self._close])
            for number, (text, encoding) in enumerate(zip(plain, encodings, strict=True)) if text
            for ids in split_windows(encoding.ids, size)
        ]  # fmt: skip

    def _remember(self, again: Iterable[str], fresh: Mapping[str, np.ndarray]) -> None:
        """Keeps fresh rows, and those asked for `again` longest: what wasn't asked for longest goes first."""
        with self._remembering:
            for text in filter(self._cache.__contains__, again):
                self._cache.move_to_end(text)
            self._cache.update((text, row.copy()) for text, row in fresh.items() if len(text) <= CACHED_CHARS)
            while len(self._cache) > CACHE:
                self._cache.popitem(last=False)


def _load_again(
    kind: type[Classifier], folder: Path, bundle_id: str, thresholds: np.ndarray, asked: dict[str, Any]
) -> Classifier:
    """The classifier that was sent; BundleError when its folder isn't here or holds another bundle."""
    classifier = kind.load(folder, **asked)
    if (found := classifier.bundle.id) != bundle_id:
        raise BundleError(
            f"{folder}: the classifier that was sent is of bundle {bundle_id}, here is {found}; load it anew"
        )
    classifier.thresholds = thresholds
    return classifier


def _next_deciders(deciders: Iterator[Classifier], number: int) -> list[Classifier]:
    """As many of `deciders` as there are texts; InputError when there are fewer, or for what is no Classifier."""
    taken = list(itertools.islice(deciders, number))
    if len(taken) < number:
        raise InputError("deciders: expected one for each text, given fewer")
    if wrong := [each for each in taken if not isinstance(each, Classifier)]:
        raise InputError(
            f"deciders: expected Classifier, given {type(wrong[0]).__name__}; give what with_thresholds gave"
        )
    return taken


def _check_switches(**switches: bool) -> None:
    """ConfigError for one that is neither True nor False: "no" would count as True."""
    for name, value in switches.items():
        if type(value) is not bool:
            raise ConfigError(f"{name}: expected True or False, given {value!r}")


def _checked_chunk(chunk: int) -> int:
    """ConfigError when it is no number of texts."""
    if type(chunk) is not int or chunk < 1:
        raise ConfigError(f"chunk: expected a whole number from 1 on, given {chunk!r}")
    return chunk


def _checked(texts: Iterable[str], place: str = "texts[{}]") -> Iterator[str]:
    """`texts` one by one, as plain str (NumPy's strings are a subclass); InputError names the place of what is no text.

    `place`: what it is called, with {} for its number.

    InputError also for a single text, which would be read character by character, for nothing to go through, and for
    a table, which would give the names of its columns.
    """
    dimensions = getattr(texts, "ndim", 1)  # NumPy's array without any is an Iterable that can't be gone through
    if isinstance(texts, str | bytes | Mapping) or not isinstance(texts, Iterable) or dimensions != 1:
        remedy = 'give its column, such as table["text"]' if dimensions > 1 else "put a single text into a list"
        raise InputError(f"texts: expected several texts, given {type(texts).__name__}; {remedy}")
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise InputError(f"{place.format(number)}: expected str, given {type(text).__name__}")
        yield str.__str__(text)  # what a subclass's own __str__ gives may be something else


def _lists(labels: Sequence[Sequence[str]]) -> list[list[str]]:
    """Label names for each text as lists; InputError where there are none, such as for the names alone."""
    if isinstance(labels, Iterable) and not isinstance(labels, str | bytes):
        labels = list(labels)
        if all(isinstance(named, Iterable) and not isinstance(named, str | bytes) for named in labels):
            return [list(named) for named in labels]
    raise InputError(f"labels: expected a list of label names for each text, given {labels!r:.80}")


def _numbers(probabilities: Any, shape: tuple[int, ...], wanted: str) -> np.ndarray:
    """`probabilities` as float64, in which a float32 stays what it was; `wanted`: what is expected, with {} for the shape.

    InputError when they have another shape, or names the place of what is no number.
    """
    wanted = f"probabilities: expected {wanted.format(shape)}"
    try:
        given = np.asarray(probabilities, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{wanted}: numbers, given {probabilities!r:.80}") from None
    if given.shape != shape:
        raise InputError(f"{wanted}, given {given.shape}")
    if len(wrong := np.argwhere(~np.isfinite(given))):
        place = tuple(map(int, wrong[0]))
        raise InputError(f"probabilities{list(place)}: expected a number, given {given[place]}")
    return given
