"""B1 to B4 of bench_insitu on Deisa-Dask: a simulation sends its chunks through bridges to Dask's workers, and a callback gets
them as an array and computes the number, as its documentation shows; closed loop.

Deisa has one chunk for each rank and array, so there are as many bridges as chunks. They live in one process here, which plays
their ranks one after the other (a communicator of its own stands for MPI): that takes less of two cores than as many processes
would. `with-put-median` is from the first `send` to the number, `median` from the end of the last `send`.

    python deisa_insitu.py [CSV] [full]     CSV: what bench_insitu has measured, to compare with
"""
import multiprocessing
import os
import sys
import time

import insitu_values as values

SECONDS = 4


class Ranks:
    """The ranks of one communicator, in one process: rank 0 does its part last."""

    def __init__(self, size):
        self.size, self.given = size, []

    def rank(self, number):
        return Communicator(self, number)


class Communicator:
    def __init__(self, ranks, number):
        self.ranks, self.number, self.told = ranks, number, None

    def Get_rank(self):
        return self.number

    def Get_size(self):
        return self.ranks.size

    def gather(self, data, root=0):
        if self.number != root:
            self.ranks.given.append(data)
            return None
        all_of_them, self.ranks.given = [data] + self.ranks.given, []
        return all_of_them

    def bcast(self, data, root=0):
        return data

    def barrier(self):
        pass

    def Split(self, color, key):
        return Ranks.rank(self.ranks, self.number)

    def Free(self):
        pass
