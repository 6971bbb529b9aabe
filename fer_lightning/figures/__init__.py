"""One description of a figure, drawn by plotly or by matplotlib."""
