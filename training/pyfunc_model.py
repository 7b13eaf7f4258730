"""The MLflow pyfunc model (models-from-code): the same Classifier over the logged bundle.

Input: a frame with the column `text`, or a series of that name; MLflow holds callers to it by the signature, but lets
missing values through. Output: for each text its decided labels (joined by "; ") and every label's score.
"""

from __future__ import annotations

import threading
from typing import Any

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel


class ZhenyanModel(PythonModel):
    """Adapter: loads the bundle once, scores data frames."""

    def load_context(self, context: Any) -> None:
        """Open the logged bundle."""
        from zhenyan.inference import Classifier

        self.classifier = Classifier.load(context.artifacts["bundle"], explain=False)
        self.lock = threading.Lock()  # MLflow's server asks from several threads at once

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Score the column `text`; MlflowException names the first row that holds none."""
        texts = list(model_input["text"])
        for place, text in enumerate(texts):
            if not isinstance(text, str):
                raise MlflowException.invalid_parameter_value(
                    f"row {place}: 'text' must be a string, found {text!r:.80}; leave rows without a text out"
                )
        with self.lock:
            predictions = self.classifier.predict(texts)
        return pd.DataFrame(
            [{"labels": "; ".join(p.labels), **p.scores} for p in predictions],
            columns=["labels", *self.classifier.bundle.label_ids],
            index=model_input.index,  # so that callers can join it to their frame
        )


set_model(ZhenyanModel())
