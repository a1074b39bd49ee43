/* 1 in a build with sanitizers, in which everything takes many times as long: tests that go through many combinations
 * of the same code take a part of them there, and all in the optimised build. */
#ifndef WEIR_TESTS_SANITIZED_H
#define WEIR_TESTS_SANITIZED_H
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif
#endif
