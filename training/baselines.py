"""What a user would try first: a list of forbidden words, and TF-IDF with logistic regression."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import RootModel, StringConstraints
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from zhenyan.inference.errors import ConfigError
from zhenyan.inference.normalise import normalise
from zhenyan.training.config import ThresholdConfig
from zhenyan.training.schema import load_as
from zhenyan.training.thresholds import choose_all

WORD_LIST = Path("configs/wordlist.yaml")
_FEW = 100  # of fewer texts, no two may have an n-gram in common


class WordList(RootModel[dict[str, list[Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]]]]):
    """Forbidden words by label."""

    def decide(self, texts: Sequence[str], labels: list[str]) -> np.ndarray:
        """Decisions, bool (texts, labels): a label is decided when one of its words stands in the text."""
        plain = [normalise(text) for text in texts]
        decided = [[any(w in text for w in self.root.get(label, ())) for label in labels] for text in plain]
        return np.array(decided, dtype=bool).reshape(len(texts), len(labels))


def load_word_list(labels: list[str], path: Path = WORD_LIST) -> WordList:
    """The validated word list; ConfigError lists every fault with its key, or names what isn't among the labels."""
    words = load_as(WordList, path)
    if unknown := [label for label in words.root if label not in labels]:
        raise ConfigError(
            f"{path}: unknown label {', '.join(unknown)}; the schema has {', '.join(labels)}; name one of these, or "
            "measure with --no-baselines"
        )
    return words


def ngram_vectorizer(min_texts: int) -> TfidfVectorizer:
    """TF-IDF of character 1- to 4-grams in at least `min_texts` texts; rows have length 1: their products are cosines."""
    return TfidfVectorizer(
        analyzer="char", ngram_range=(1, 4), min_df=min_texts, sublinear_tf=True, max_features=200_000
    )


class TfidfBaseline:
    """Character 1- to 4-grams and one balanced logistic regression a label; thresholds chosen on validation rows."""

    def __init__(self, labels: list[str], plain: Callable[[str], str] = normalise) -> None:
        """`plain` may remember what it has normalised, for models of nearly the same texts."""
        self.labels, self.plain = labels, plain
        self.vectorizer = ngram_vectorizer(min_texts=2)

    def fit(self, texts: Sequence[str], truth: np.ndarray, mask: np.ndarray | None = None) -> TfidfBaseline:
        """Train on texts and boolean truth (texts, labels); `mask`, alike, is False where nobody looked for the label."""
        features = self.learn_ngrams(texts)
        seen = np.ones(truth.shape, dtype=bool) if mask is None else mask
        self.models = [_fit_label(features[seen[:, i]], truth[seen[:, i], i]) for i in range(truth.shape[1])]
        self.thresholds = np.full(len(self.labels), 0.5)
        return self

    def learn_ngrams(self, texts: Sequence[str]) -> Any:
        """The texts' features, sparse (texts, n-grams), by the n-grams of these texts from now on."""
        if len(texts) < _FEW:
            self.vectorizer.set_params(min_df=1)
        return self.vectorizer.fit_transform([self.plain(text) for text in texts])

    def score(self, texts: Sequence[str]) -> np.ndarray:
        """Probabilities, (texts, labels)."""
        features = self.vectorizer.transform([self.plain(text) for text in texts])
        columns = [m.predict_proba(features)[:, 1] if m else np.zeros(len(texts)) for m in self.models]
        return np.stack(columns, axis=1)

    def choose_thresholds(
        self, texts: Sequence[str], truth: np.ndarray, config: ThresholdConfig, mask: np.ndarray | None = None
    ) -> TfidfBaseline:
        """On validation rows, by the rule of `config`; `mask` as in `fit`."""
        chosen = choose_all(truth, self.score(texts), self.labels, config, mask)
        self.thresholds = np.array([chosen[label]["threshold"] for label in self.labels])
        return self

    def decide(self, texts: Sequence[str]) -> np.ndarray:
        """Decisions, bool (texts, labels)."""
        return self.score(texts) >= self.thresholds


def _fit_label(features: Any, truth: np.ndarray) -> LogisticRegression | None:
    """None where all rows agree: there is nothing to learn."""
    if not 0 < truth.sum() < len(truth):
        return None
    return LogisticRegression(C=4.0, class_weight="balanced", max_iter=300, solver="liblinear").fit(features, truth)
