"""The MLflow pyfunc model (models-from-code): the same Classifier over the logged bundle.

Input: a frame with the column `text`, or a series of that name; MLflow holds callers to it by the signature. Output: for
each text its decided labels (joined by "; ") and every label's score.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel


class ZhenyanModel(PythonModel):
    """Adapter: loads the bundle once, scores data frames."""

    def load_context(self, context: Any) -> None:
        """Open the logged bundle."""
        from zhenyan.inference import Classifier

        self.classifier = Classifier.load(context.artifacts["bundle"], explain=False)

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Score the column `text`."""
        predictions = self.classifier.predict([str(text) for text in model_input["text"]])
        return pd.DataFrame(
            [{"labels": "; ".join(p.labels), **p.scores} for p in predictions],
            columns=["labels", *self.classifier.bundle.label_ids],
        )


set_model(ZhenyanModel())
