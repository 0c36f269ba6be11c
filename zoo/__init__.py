"""The models: one family per file, registered by name, built from a DataSpec."""

from zoo.registry import Listing as Listing
from zoo.registry import Model as Model
from zoo.registry import describe as describe
from zoo.registry import get as get
from zoo.registry import keras_inputs as keras_inputs
from zoo.registry import listing as listing
from zoo.registry import names as names
from zoo.registry import register as register
