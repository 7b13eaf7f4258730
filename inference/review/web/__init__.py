"""Pages of the review site: FastAPI, Jinja and HTMX; usable without JavaScript too."""
