"""Where the config groups are."""

from fer_lightning.config import schema  # noqa: F401  (stores the schema that config.yaml names)
from fer_lightning.config.groups import CONF  # noqa: F401
