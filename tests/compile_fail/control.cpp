// expect: compiles
// What the other files do, done right.
#include <rankpool/rankpool.hpp>

#include <boost/serialization/string.hpp>
#include <memory>
#include <string>
#include <vector>

struct Row {
    std::string name;
    int number;
};

class Account {
  public:
    template <class Archive>
    void serialize(Archive& archive, const unsigned) {
        archive& owner_;
    }

  private:
    std::string owner_;
};

struct Joins {
    std::string with;
    std::string operator()(const std::string& text) const { return text + with; }
};

void use(rankpool::Pool& pool) {
    const std::vector<std::string> words{"a", "b"};
    const int captured = 3;
    pool.map([](const std::string& word) { return word.size(); }, words);
    pool.map([captured](const std::string& word) { return std::make_unique<int>(captured + word[0]); }, words);
    pool.map([](const Row& row) { return row; }, std::vector<Row>{{"a", 1}});
    pool.map([](Account account) { return account; }, std::vector<Account>(3));
    pool.map(Joins{"x"}, words);
}
