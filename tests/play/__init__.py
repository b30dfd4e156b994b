"""The played cluster as a whole: `kdns lab --play` as a process, and who lives in it."""
