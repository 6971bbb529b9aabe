"""The maths of stability: measures, spikes, inactive units, sharpness."""
