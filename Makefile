# Thin on purpose: names for what `cargo xtask` does (see `cargo xtask help`). Every target does its own set-up.
XTASK := ./xtask/bootstrap.sh
# make run PLATFORM=server-headless ARCH=x86_64, make run PLATFORM=mcu-minimal BOARD=b-l475e-iot01a
ARGS = $(if $(PLATFORM),--platform $(PLATFORM)) $(if $(ARCH),--arch $(ARCH)) $(if $(BOARD),--board $(BOARD))

.PHONY: help demo setup build run run-gui test bench new clean
help:
	@echo "make demo | setup | build | run | run-gui (with PLATFORM=..., for server-headless also ARCH=..., for mcu-minimal BOARD=...) | test | bench | new NAME=... | clean"

# The claim of the project as a table: the same apps on every platform and every engine.
demo:
	@$(XTASK) matrix
setup:
	@$(XTASK) setup
build:
	@$(XTASK) image $(ARGS)
run:
	@$(XTASK) run $(ARGS)
run-gui:
	@$(XTASK) run-gui $(ARGS)
test:
	@$(XTASK) test
bench:
	@$(XTASK) bench
new:
	@$(XTASK) new $(NAME)
clean:
	@$(XTASK) clean
