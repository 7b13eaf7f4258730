"""The HTTP service: `zhenyan serve`. Needs `zhenyan[serve]`."""
