"""Results of the conformance kit: one result, the file that keeps them, the page that shows them."""
