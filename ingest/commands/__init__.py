"""The commands of the writing side. They read options, call one function each, and say what came of it."""
