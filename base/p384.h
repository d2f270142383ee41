/* base/p384.h - P-384 by hogweed, two to nine times as fast as OpenSSL 3.0's (docs/decisions/crypto-libraries.md). For
 * key exchange and ECDSA. Numbers are big-endian, of full width; a public value is x|y (RFC 5903). Thread-safe. */
#ifndef BASE_P384_H
#define BASE_P384_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { P384_OCTETS = 48, P384_POINT = 96, P384_SIGNATURE = 96 };

/* false: the private value is zero or not under the group's order. */
bool p384_public(const uint8_t private[P384_OCTETS], uint8_t ret[P384_POINT]);
/* false: as above, or the peer's point is not on the curve. */
bool p384_secret(const uint8_t private[P384_OCTETS], const uint8_t peer[P384_POINT], uint8_t ret[P384_OCTETS]);
/* ECDSA over a digest; the signature is r|s. */
bool p384_sign(const uint8_t private[P384_OCTETS], const uint8_t *digest, size_t len, uint8_t ret[P384_SIGNATURE]);
bool p384_verify(const uint8_t public[P384_POINT], const uint8_t *digest, size_t len,
		 const uint8_t signature[P384_SIGNATURE]);

#endif
