"""The maths of stability: measures of one training and its label, inactive units, sharpness. No Lightning here."""
