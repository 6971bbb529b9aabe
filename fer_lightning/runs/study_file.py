"""study.json: the command of a study, its axes, its jobs, the settings they share; written before the first job."""

from pathlib import Path

from fer_lightning.process.errors import DataError
from fer_lightning.safety.json_shape import STUDY_SHAPE, check_shape
from fer_lightning.safety.untrusted_files import read_json

LEDGER = "study.json"


def read_ledger(folder):
    """What study.json holds; None where there is none, as for run folders gathered by hand. DataError where it is damaged."""
    path = Path(folder) / LEDGER
    try:
        ledger = read_json(path)
        check_shape(ledger, STUDY_SHAPE)
        ledger["jobs"], ledger["axes"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(f"{path} is damaged ({error}). Remove it: the command of the sweep, given again, writes it anew.") from error
    return ledger
