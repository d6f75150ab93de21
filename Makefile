# A wrapper for habit's sake: CMake builds (CMakeLists.txt), the scripts do the rest. `make` alone shows help.
.PHONY: help build server test lint size conformance install clean
PRESET ?= release
PREFIX ?= /usr/local

help:
	@script/help
build:
	@script/build $(PRESET)
server:
	@script/server $(ARGS)
test:
	@script/test $(PARTS)
lint:
	@script/lint
size:
	@script/size
conformance:
	@tools/statements.py
install:
	@script/build release
	cmake --install build/release --prefix $(PREFIX)
clean:
	rm -rf build
