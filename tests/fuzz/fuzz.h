/* tests/fuzz/fuzz.h - what libFuzzer calls, and rerun.c in builds without it. */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t len);

#endif
