"""Run by Python in a container that stays: `python __main__.py EXCHANGE HOME SCRIPT [FOLDER…]`.

It imports what the SCRIPT imports first, and then takes orders: for each it forks a process, which becomes
what `python SCRIPT …` would be. Forking is sound only while nothing has been computed here: threads do not
come along, and what waits for them waits forever. So nothing but imports happens here, no Python thread may
have been started by them, and the number of all threads may not grow. HOME is put back as it was, and each
FOLDER emptied, before the next.

It is put into the container beside start.sh, whose part it has for each order: so it knows nothing of
trainer, and finds the standard library alone, and trainkit. In the folder EXCHANGE, which
the host sees too:

    held       locked by who gives the orders: without them, and without an order, this ends
    ready      what was imported, or why that cannot be: {"threads": 2, …} or {"refused": "…"}
    order      {"script": "train.py", "arguments": […], "environment": {…}}; it is taken by removing it
    accepted   it can be carried out: that is waited with for `go`, or `stop`
    refused    why not
    go         there if what the process needs is in its place
    output     what it prints
    stop       there if it is to end: SIGINT, and SIGKILL after a grace period
    oom        there if a process of it was killed because the container was out of memory
    result     how it ended, as start.sh writes it; from then on no process of it is left
"""
