create table customers (
  id int primary key, name text not null, email text not null, iban text, birthday date, newsletter boolean not null default false
);
insert into customers values
  (1, 'Ada', 'ada@example.com', 'NL02ABNA0123456789', '1975-12-10', true),
  (2, 'Grace', 'grace@example.com', null, '1981-12-09', false),
  (3, 'Hedy', 'hedy@example.com', 'AT483200000012345864', '1984-11-09', true);
