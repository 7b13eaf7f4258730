"""`python -m zhenyan.inference` is `zhenyan`, where its script isn't on the path."""

from zhenyan.inference.cli import main

if __name__ == "__main__":
    main()
