// expect: an aggregate of at most 32 of them without base classes
#include <rankpool/rankpool.hpp>

#include <string>
#include <vector>

struct Wide {
    int m0, m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15;
    int m16, m17, m18, m19, m20, m21, m22, m23, m24, m25, m26, m27, m28, m29, m30, m31;
    std::string name;
};

void use(rankpool::Pool& pool) {
    const std::vector<Wide> rows(2);
    pool.map([](const Wide& row) { return row.m0; }, rows);
}
