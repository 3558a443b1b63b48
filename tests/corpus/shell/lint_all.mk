# A build of many very small steps.
STEPS := $(shell seq 1 500)

all: $(STEPS:%=step-%)

step-%:
	@test -n "$*" && expr $* + 1 > /dev/null

.PHONY: all
