"""Results of the conformance kit: a single result, the file that stores results, and the page that shows them."""
