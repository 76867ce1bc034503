// Each suite is a ctest test of its own (launch.cmake has the list). A suite that is not in that list would never run,
// and a filter that fits nothing would pass: both are errors here.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "support/temporary_directory.hpp"

int main(int argc, char** argv) {
    testing::InitGoogleTest(&argc, argv);
    const auto& all = *testing::UnitTest::GetInstance();
    const std::string listed = "," RANKPOOL_TEST_SUITES ",";
    for (int i = 0; i < all.total_test_suite_count(); ++i) {
        std::string name = all.GetTestSuite(i)->name();  // Instance/Suite where it has parameters
        name = name.substr(name.find('/') + 1);
        if (listed.find("," + name + ",") != std::string::npos) continue;
        std::fprintf(stderr, "suite %s is not listed in launch.cmake: it would not be run\n", name.c_str());
        return 1;
    }
    // Where an mpirun is killed Open MPI leaves the memory that its ranks shared: it goes with this directory.
    const TemporaryDirectory shared;
    setenv("OMPI_MCA_btl_vader_backing_directory", shared.path().c_str(), 1);
    const int result = RUN_ALL_TESTS();
    if (all.test_to_run_count() > 0) return result;
    std::fprintf(stderr, "no test fits this filter\n");
    return 1;
}
