"""The report's sections: each a function from a result and its options, as JSON has them, to paragraphs."""
