// Memory that a test knows to be lost, where a leak sanitizer watches.
#pragma once

#if defined(__SANITIZE_ADDRESS__)
#define RANKPOOL_TEST_LEAK_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define RANKPOOL_TEST_LEAK_SANITIZER 1
#endif
#endif

#ifdef RANKPOOL_TEST_LEAK_SANITIZER
#include <sanitizer/lsan_interface.h>
#endif

namespace leaks {

/// While it lives, what this thread allocates may be lost.
class Allowed {
  public:
    Allowed() {
#ifdef RANKPOOL_TEST_LEAK_SANITIZER
        __lsan_disable();
#endif
    }
    ~Allowed() {
#ifdef RANKPOOL_TEST_LEAK_SANITIZER
        __lsan_enable();
#endif
    }
    Allowed(const Allowed&) = delete;
    Allowed& operator=(const Allowed&) = delete;
};

}  // namespace leaks
