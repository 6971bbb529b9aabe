"""What a study says: statistics, tables, the page. It reads run folders and needs no torch."""
