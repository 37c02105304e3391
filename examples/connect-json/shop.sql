create table orders (id int primary key, item text not null, quantity int not null);
insert into orders values (1, 'rope', 2), (2, 'gunpowder', 1), (3, 'lantern', 4), (4, 'gunpowder', 9), (5, 'tiller', 1);
