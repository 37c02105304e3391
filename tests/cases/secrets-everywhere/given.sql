create table orders (id int primary key, item text);
insert into orders select i, 'lamp' from generate_series(1, 3) i;
