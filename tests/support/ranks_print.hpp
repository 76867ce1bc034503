// A test program that every rank of a job runs: rank 0 prints as GoogleTest does, the others what fails and nothing else.
#pragma once

#include <gtest/gtest.h>

#include <cstdio>
#include <memory>
#include <string>

namespace ranks_print {

class Failures : public testing::EmptyTestEventListener {
  public:
    explicit Failures(int rank) : rank_(rank) {}

  private:
    void OnTestStart(const testing::TestInfo& test) override { test_ = std::string(test.test_suite_name()) + "." + test.name(); }
    void OnTestPartResult(const testing::TestPartResult& result) override {
        if (!result.failed()) return;
        const char* file = result.file_name() == nullptr ? "?" : result.file_name();
        std::printf("[rank %d] %s: %s:%d: %s\n", rank_, test_.c_str(), file, result.line_number(), result.message());
        std::fflush(stdout);
    }

    int rank_;
    std::string test_;
};

/// After InitGoogleTest.
inline void as_rank(int rank) {
    if (rank == 0) return;
    auto& listeners = testing::UnitTest::GetInstance()->listeners();
    const std::unique_ptr<testing::TestEventListener> printer(listeners.Release(listeners.default_result_printer()));
    listeners.Append(new Failures(rank));  // GoogleTest's from here on
}

}  // namespace ranks_print
