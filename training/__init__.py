"""What ML engineers use: corpus, training, evaluation, export and the model registry. Needs `zhenyan[train]`."""
