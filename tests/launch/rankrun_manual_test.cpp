// rankrun's help, manual page and completion say the same about its options.
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <regex>
#include <set>

#include "launch/launches.hpp"

namespace {

using namespace launches;

std::string text_of(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    EXPECT_TRUE(in.good()) << path;
    return {std::istreambuf_iterator<char>(in), {}};
}

// "-n", "--ranks", … where help lists its options.
std::set<std::string> options_of_help() {
    std::set<std::string> found;
    const std::regex option("--?[a-z][a-z-]*");
    for (const std::string& line : lines_from(rankrun({"--help"}).out, "  -")) {
        const std::string names = line.substr(0, line.find_first_of(' ', 2));
        for (auto each = std::sregex_iterator(names.begin(), names.end(), option); each != std::sregex_iterator();
             ++each)
            found.insert(each->str());
    }
    return found;
}

TEST(RankrunManual, HelpListsEveryOptionInGroups) {
    const auto options = options_of_help();
    EXPECT_EQ(options, (std::set<std::string>{
                           "-n",          "--ranks", "-x",           "--wdir",  "-l",       "--label",
                           "--timestamp", "-o",      "--output-dir", "--stdin", "--bind",   "--report-bindings",
                           "--timeout",   "--grace", "--restarts",   "--via",   "--hosts",  "--dry-run",
                           "--verbose",   "--info",  "-h",           "--help",  "--version"}));
    const std::string help = rankrun({"--help"}).out;
    std::size_t at = 0;
    for (const std::string group :
         {"Program:", "Input and output:", "CPUs:", "End:", "Machines:", "About:", "Examples:"})
        EXPECT_NE(at = help.find("\n" + group + "\n", at), std::string::npos) << group;
    for (const std::string& line : sorted_lines(help)) EXPECT_LE(line.size(), 120u) << line;
}

TEST(RankrunManual, PageDescribesEveryOption) {
    const std::string page =
        std::regex_replace(text_of(RANKPOOL_TEST_LAUNCHER_SOURCES "/rankrun.1"), std::regex("\\\\-"), "-");
    for (const std::string& option : options_of_help())
        EXPECT_TRUE(std::regex_search(page, std::regex("\n\\.BR? [^\n]*" + option + "(\n|[ \"])"))) << option;
}

// What bash offers where the cursor is behind the last word.
std::set<std::string> completions(const std::string& words) {
    const auto result =
        subprocess::run({"bash", "--norc", "-c",
                         "source \"$0\"; COMP_WORDS=(" + words +
                             "); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _rankrun; printf '%s\\n' \"${COMPREPLY[@]}\"",
                         RANKPOOL_TEST_LAUNCHER_SOURCES "/rankrun.bash"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(result.err, "");
    const auto lines = sorted_lines(result.out);
    return {lines.begin(), lines.end()};
}

TEST(RankrunManual, CompletionKnowsEveryOption) {
    auto options = options_of_help();
    options.insert("-np");
    EXPECT_EQ(completions("rankrun -"), options);
    EXPECT_EQ(completions("rankrun -n 4 --lab"), std::set<std::string>{"--label"});
    EXPECT_EQ(completions("rankrun -n 4 app : --"), (std::set<std::string>{"--ranks", "--wdir"}));
}

TEST(RankrunManual, CompletionOffersNoOptionsBehindTheirEnd) {
    EXPECT_EQ(completions("rankrun -n 4 -- --lab"), std::set<std::string>());
    EXPECT_EQ(completions("rankrun -- tru").count("true"), 1u);
    EXPECT_EQ(completions("rankrun -- app : --r"), std::set<std::string>());
    EXPECT_EQ(completions("rankrun -n 1 app : -n 1 -- --w"), std::set<std::string>());
}

TEST(RankrunManual, CompletionKnowsTheirValues) {
    EXPECT_EQ(completions("rankrun --bind ''"), (std::set<std::string>{"core", "none"}));
    EXPECT_EQ(completions("rankrun --bind = c"), std::set<std::string>{"core"});
    EXPECT_EQ(completions("rankrun --hosts a : 4 -x A = b --via l"), std::set<std::string>{"local"});
    EXPECT_EQ(completions("rankrun --stdin no"), std::set<std::string>{"none"});
    EXPECT_EQ(completions("rankrun -n 2 tru").count("true"), 1u);
    const auto files = completions("rankrun -n 2 cat " RANKPOOL_TEST_LAUNCHER_SOURCES "/rankrun.");
    EXPECT_EQ(files, (std::set<std::string>{RANKPOOL_TEST_LAUNCHER_SOURCES "/rankrun.1",
                                            RANKPOOL_TEST_LAUNCHER_SOURCES "/rankrun.bash"}));
}

}  // namespace
