"""`torchrun --nproc-per-node 2 -m zhenyan.training train --config ...`: the command line, in each process."""

from zhenyan.inference.cli import main

main()
