/* Whatever comes from the TUN, where the SAs are of AH: what leaves for the wire is AH. */
#define FUZZ_SUITE "ah-sha256"
#define SEALED_AS IP_AH
#include "tests/fuzz/esp-out.c" /* NOLINT(bugprone-suspicious-include): the same target, with other SAs */
