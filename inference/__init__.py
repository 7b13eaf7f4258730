"""zhenyan.inference: find deceptive advertising in Chinese text with a bundled ONNX model.

>>> from zhenyan.inference import Classifier
>>> [prediction.labels for prediction in Classifier.load().classify(["喝这个茶三高就降下来了"])]
"""

from zhenyan.inference.bundle import Bundle, Label, load_bundle
from zhenyan.inference.classifier import Classifier, Prediction, StreamPrediction
from zhenyan.inference.context import ContextHit, Line
from zhenyan.inference.errors import BundleError, ConfigError, InputError, MissingExtra, ZhenyanError
from zhenyan.inference.evidence import Evidence

__all__ = [
    "Bundle",
    "BundleError",
    "Classifier",
    "ConfigError",
    "ContextHit",
    "Evidence",
    "InputError",
    "Label",
    "Line",
    "MissingExtra",
    "Prediction",
    "StreamPrediction",
    "ZhenyanError",
    "load_bundle",
]
