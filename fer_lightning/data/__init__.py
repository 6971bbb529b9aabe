"""FER-2013 in every layout: readers, cache, protocols, twins, FER+, the data module, drawn faces, audit."""
