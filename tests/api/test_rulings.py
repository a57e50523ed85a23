"""Split and pins through the API: what a person rules holds, and each is told."""
