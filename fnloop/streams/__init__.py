"""Functions of a stream of states; each takes the stream last and is curried, for use in `toolz.pipe`."""
