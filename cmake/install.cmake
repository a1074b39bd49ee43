# Placeholder-free install: the command, the libraries, the headers, weir.pc, weir-client.pc and the CMake package.
